#!/usr/bin/env bash
# A new key signs tokens from now on; what the former ones signed stays good. In place, because containers have these
# very files mounted; new ones read them, and no request is lost.
set -euo pipefail
cd "$(dirname "$0")/../.."

chmod u+w secrets/jwt_*
scripts/openssl.sh rsa -pubout 2>/dev/null <secrets/jwt_private_key >>secrets/jwt_public_keys
new=$(scripts/openssl.sh genrsa 2048)
echo "$new" >secrets/jwt_private_key
chmod 444 secrets/jwt_*
scripts/deploy.sh restart
echo "rotated: secrets/jwt_public_keys has $(grep -c BEGIN secrets/jwt_public_keys) former key(s); a key may be deleted there"
echo "when its last token has expired (JWT_REFRESH_TOKEN_EXPIRES)"

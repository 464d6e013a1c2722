"""Mail addresses, in the one form in which they are stored and looked for."""

import unicodedata

import email_validator

LENGTH = 254  # bytes, by RFC 5321; and of the column

# Whether mail gets there is the mail server's to say: .local and .test are in use inside.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


def normal(text: str) -> str:
    """As RFC 8265 has it for names of users: in lower case, in NFC, without characters that only look like others.

    Case is not folded any further: mail for straße@ must not go to strasse@. The domain is in ASCII, as in DNS.
    """
    local, domain, _ = parts(text)
    if unicodedata.normalize("NFKC", local) != local:
        raise ValueError("expected an address without ligatures, full-width letters and the like")
    if len(f"{local}@{domain}".encode()) > LENGTH:  # in lower case some letters take more of them
        raise ValueError(f"expected at most {LENGTH} bytes")
    return f"{local}@{domain}"


def stored_forms(text: str) -> set[str]:
    """The normal one, and those of accounts that are older than it."""
    try:
        local, domain, shown_domain = parts(text)
    except ValueError:
        return {text.lower()}
    return {text.lower(), f"{local}@{domain}", f"{local}@{shown_domain}"}


def parts(text: str) -> tuple[str, str, str]:
    try:
        found = email_validator.validate_email(text, check_deliverability=False)
    except email_validator.EmailNotValidError as error:
        raise ValueError(f"expected an address such as you@example.com. {error}") from None
    return unicodedata.normalize("NFC", found.local_part.lower()), found.ascii_domain, found.domain

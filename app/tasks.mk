# The tasks of this application, in the same words: `make` lists them after its own.
##@ This application
user: ## Make a user: make user email=you@example.com, on the server with prod=1
	@$(compose) exec $(tty) app flask user create $(email)
seed: ## Fill the notes with something to look at
	@$(compose) exec $(tty) app flask notes seed
jwt-rotate: ## On the server: sign tokens with a new key; those of the former one stay good
	@app/auth/jwt-rotate.sh

.PHONY: user seed jwt-rotate

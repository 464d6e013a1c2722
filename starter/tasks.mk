##@ Begin
init: ## Once, to make it yours: make init name=shop domain=shop.example demo=keep, or demo=drop, or from=FOLDER
	@python3 starter/init.py "name=$(name)" "domain=$(domain)" "demo=$(demo)" "from=$(from)" "package=$(package)"

.PHONY: init

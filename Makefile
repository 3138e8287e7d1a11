# Express CRM: everything a person types. `make` alone lists the targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
PYTHON ?= python3
WANTED := requirements.lock pyproject.toml shared/local/kafka.lock.toml shared/local/install.py
INSTALLED := .venv/.installed-$(shell cat $(WANTED) | sha256sum | cut -c1-16)
BIN := .venv/bin
COMPILE := $(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --quiet

.PHONY: help install run test check bench lock docs

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## install everything into .venv (the other targets do it by themselves)

$(INSTALLED):
	@$(PYTHON) -I shared/local/install.py $@

run: $(INSTALLED) ## start the suite and replay history; HISTORY=folder for real files, PORT=8000, RESET=1 to begin afresh
	@exec $(BIN)/crm suite $(if $(HISTORY),--history "$(HISTORY)") $(if $(PORT),--port "$(PORT)") $(if $(RESET),--reset)

test: $(INSTALLED) ## run all tests on a real PostgreSQL and a real Kafka; T=path for some of them
	@exec $(BIN)/python -m pytest $(or $(T),-n 2 --dist loadscope --no-loadscope-reorder tests)

check: $(INSTALLED) ## format, lint, types, import contracts, generated documents and locks up to date
	@$(BIN)/ruff format --check --quiet . || { echo "ruff format . would change these files"; exit 1; }
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m services.documents check
	@$(BIN)/python -m shared.local.jars check
	@cp requirements.lock .venv/requirements.lock
	@$(COMPILE) --output-file .venv/requirements.lock >/dev/null
	@cmp -s requirements.lock .venv/requirements.lock || { echo "requirements.lock is not what pyproject.toml asks for: make lock"; exit 1; }

bench: $(INSTALLED) ## measure against hand-written programs, side by side; QUICK=1 with small sizes
	@exec $(BIN)/python -m bench $(if $(QUICK),--quick)

docs: $(INSTALLED) ## write the generated documents: OpenAPI, AsyncAPI, settings, JSON Schemas
	@$(BIN)/python -m services.documents write

lock: $(INSTALLED) ## resolve dependencies afresh into requirements.lock and shared/local/kafka.lock.toml
	@$(COMPILE) --output-file requirements.lock >/dev/null
	@$(BIN)/python -m shared.local.jars lock

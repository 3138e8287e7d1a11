"""`python -m services.cli` is `crm`."""

from services.cli import main

main()

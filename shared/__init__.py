"""What every service needs and no service owns: clock, database, bus, HTTP base, contracts."""

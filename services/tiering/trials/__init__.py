"""Trials (规则试算): what another policy would have decided on real history, before it is published."""

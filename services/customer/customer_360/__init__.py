"""The customer 360 (客户360视图): everything about one account on one page, built by consuming events only.

`freight`, `tiers`, `items` and `parcels` keep what the other services said, in the overview tables; `rendering` turns it into
one row of ready parts per account at the end of each transaction; `reading` reads it with one statement, and `page` puts it
together.
"""

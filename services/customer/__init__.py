"""Customer (客户中心): who the shipper is, where it belongs, and the one page that shows everything about it.

It decides the organisation tree and which settlement accounts exist, where they belong and since when. It owns both, with
the only copy of names, and keeps the customer 360 from the events of all topics. It never judges freight or parcels.
"""

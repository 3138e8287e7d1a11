"""Tickets (客服工单): what went wrong with a parcel or a shipper, and whether it is fixed in time.

It decides which parcels are late, damaged, lost, refused or delayed, keeps the timeline of every waybill, and owns the
tickets with their working-hour deadlines. It never decides money: claims are opened here and paid elsewhere.
"""

"""The report designer (自定义报表): a report is put together from a closed list of datasets, fields and measures.

`datasets` is that list, `definition` what a person composes, `compile` makes the one statement of it, `running` answers it at
once, `saved` keeps and shares it, `exports` makes files of it in the background.
"""

"""The audit trail: records, their seals, verification, export and removal."""

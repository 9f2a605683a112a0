"""Reports: one page for the browser, drawn from records alone; techniques add sections and checklists."""

from __future__ import annotations

from layerscope.report.depths import Reach
from layerscope.report.page import report_page, report_tables
from layerscope.report.roles import roles_table
from layerscope.report.sections import CheckItem, Checklist, ReportSection
from layerscope.report.write import renew_report, write_report

__all__ = [
    "CheckItem",
    "Checklist",
    "Reach",
    "ReportSection",
    "renew_report",
    "report_page",
    "report_tables",
    "roles_table",
    "write_report",
]

"""An audit's report as one page: self-contained HTML, drawn from the report's JSON alone."""

from fl_chain.report.page import render_page
from fl_chain.report.plot import of_metric, render_plot
from fl_chain.report.schema import Report, Summary, parse_report, parse_summary

__all__ = ["Report", "Summary", "of_metric", "parse_report", "parse_summary", "render_page", "render_plot"]

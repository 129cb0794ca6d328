"""Reading and writing."""

from millpond.io import csv, jsonlines
from millpond.io._settings import CsvParserSettings

__all__ = ["CsvParserSettings", "csv", "jsonlines"]

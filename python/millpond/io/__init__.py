"""Reading and writing."""

from millpond.io import csv, jsonlines, python
from millpond.io._settings import CsvParserSettings
from millpond.io._subscribe import subscribe

__all__ = ["CsvParserSettings", "csv", "jsonlines", "python", "subscribe"]

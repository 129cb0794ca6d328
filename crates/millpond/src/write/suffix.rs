//! What the end of a file's name promises: a result is not written under a name that says something else.

use std::path::Path;

use millpond_error::{Error, Result};

use super::TextFormat;

/// Endings of compressed files, with what they say.
const COMPRESSED: [(&str, &str); 17] = [
    ("gz", "gzip"),
    ("gzip", "gzip"),
    ("tgz", "gzip"),
    ("zst", "zstd"),
    ("zstd", "zstd"),
    ("bz2", "bzip2"),
    ("xz", "xz"),
    ("lzma", "lzma"),
    ("lz4", "lz4"),
    ("sz", "snappy"),
    ("snappy", "snappy"),
    ("br", "brotli"),
    ("z", "compress"),
    ("zip", "zip"),
    ("7z", "7-Zip"),
    ("rar", "rar"),
    ("tar", "tar"),
];

/// Endings of files of other formats than this crate writes.
const FOREIGN: [(&str, &str); 26] = [
    ("parquet", "Parquet"),
    ("pq", "Parquet"),
    ("arrow", "Arrow"),
    ("arrows", "Arrow"),
    ("feather", "Feather"),
    ("ipc", "Arrow"),
    ("avro", "Avro"),
    ("orc", "ORC"),
    ("xlsx", "Excel"),
    ("xls", "Excel"),
    ("ods", "a spreadsheet"),
    ("db", "a database"),
    ("sqlite", "SQLite"),
    ("sqlite3", "SQLite"),
    ("duckdb", "DuckDB"),
    ("pkl", "pickle"),
    ("pickle", "pickle"),
    ("npy", "NumPy"),
    ("npz", "NumPy"),
    ("h5", "HDF5"),
    ("hdf5", "HDF5"),
    ("xml", "XML"),
    ("html", "HTML"),
    ("yaml", "YAML"),
    ("yml", "YAML"),
    ("tsv", "text with tabs"),
];

/// Refuses a name whose end says that the file holds something else than text of this format.
pub(super) fn check(format: TextFormat, path: &Path) -> Result<()> {
    let Some(suffix) = path.extension().and_then(|suffix| suffix.to_str()) else { return Ok(()) };
    let lower = suffix.to_ascii_lowercase();
    let find = |known: &[(&str, &'static str)]| known.iter().find(|(end, _)| *end == lower).map(|(_, what)| *what);
    let own = format.suffix();
    let (what, hint) = if let Some(what) = find(&COMPRESSED) {
        let plain = path.with_extension("");
        let plain = if find_suffix(&plain) == Some(own) { plain } else { path.with_extension(own) };
        (what, format!("write \"{}\", and compress it after the run", plain.display()))
    } else if let Some(what) = find(&FOREIGN).or_else(|| format.other(&lower)) {
        (what, format!("choose a name such as \"{}\"", path.with_extension(own).display()))
    } else {
        return Ok(());
    };
    let label = path.display();
    let written = format.noun();
    Err(Error::invalid(format!("\"{label}\" ends with \".{suffix}\", which says {what}, and would hold {written}"))
        .with_hint(hint))
}

fn find_suffix(path: &Path) -> Option<&str> {
    path.extension()?.to_str()
}

impl TextFormat {
    fn suffix(self) -> &'static str {
        match self {
            TextFormat::Csv { .. } => "csv",
            TextFormat::JsonLines => "jsonl",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            TextFormat::Csv { .. } => "CSV",
            TextFormat::JsonLines => "JSON lines",
        }
    }

    /// What an ending says that belongs to another format of text. Files of JSON lines are called `.json`, too.
    fn other(self, suffix: &str) -> Option<&'static str> {
        match (self, suffix) {
            (TextFormat::Csv { .. }, "jsonl" | "ndjson" | "jsonlines") => Some("JSON lines"),
            (TextFormat::Csv { .. }, "json") => Some("JSON"),
            (TextFormat::JsonLines, "csv") => Some("CSV"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(format: TextFormat, path: &str, message: &str, hint: &str) {
        let error = check(format, Path::new(path)).expect_err("refused");
        assert_eq!((error.message(), error.hint()), (message, Some(hint)));
    }

    #[test]
    fn the_suffix_of_a_compressed_file_is_named() {
        refused(
            TextFormat::CSV,
            "out/x.csv.gz",
            "\"out/x.csv.gz\" ends with \".gz\", which says gzip, and would hold CSV",
            "write \"out/x.csv\", and compress it after the run",
        );
        refused(
            TextFormat::JsonLines,
            "x.ZST",
            "\"x.ZST\" ends with \".ZST\", which says zstd, and would hold JSON lines",
            "write \"x.jsonl\", and compress it after the run",
        );
    }

    #[test]
    fn the_suffix_of_another_format_is_named() {
        for (format, path, what, written, better) in [
            (TextFormat::CSV, "x.parquet", "Parquet", "CSV", "x.csv"),
            (TextFormat::CSV, "x.json", "JSON", "CSV", "x.csv"),
            (TextFormat::CSV, "x.jsonl", "JSON lines", "CSV", "x.csv"),
            (TextFormat::CSV, "a.b.tsv", "text with tabs", "CSV", "a.b.csv"),
            (TextFormat::JsonLines, "x.csv", "CSV", "JSON lines", "x.jsonl"),
            (TextFormat::JsonLines, "x.Parquet", "Parquet", "JSON lines", "x.jsonl"),
        ] {
            let suffix = path.rsplit('.').next().expect("a suffix");
            let message = format!("\"{path}\" ends with \".{suffix}\", which says {what}, and would hold {written}");
            refused(format, path, &message, &format!("choose a name such as \"{better}\""));
        }
    }

    #[test]
    fn other_names_are_taken() {
        for path in ["x.csv", "x", "x.CSV", "x.txt", "x.log", "x.2026-03-01", "x.parquet.csv", "dir.gz/x.csv", ".gz"] {
            check(TextFormat::CSV, Path::new(path)).expect("taken");
        }
        for path in ["x.jsonl", "x.json", "x.ndjson", "x", "x.csv.jsonl"] {
            check(TextFormat::JsonLines, Path::new(path)).expect("taken");
        }
    }
}

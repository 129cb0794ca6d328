//! Directories of files that grow: rows in CSV and in JSON lines, written in pieces that are cut at any byte.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Random, Visit, csv_rows, json_line};

/// What files are written in. Those of each format have a directory of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Format {
    Csv,
    JsonLines,
}

impl Format {
    /// The name of the directory and of the source.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::JsonLines => "jsonlines",
        }
    }
}

/// The files.
pub(crate) struct Logs {
    root: PathBuf,
    files: BTreeMap<(Format, u64), Growing>,
}

/// A file of which the first bytes are written.
struct Growing {
    format: Format,
    path: PathBuf,
    /// All bytes.
    text: Vec<u8>,
    /// The bytes of the header.
    header: usize,
    /// The rows, and where each starts and ends.
    rows: Vec<(usize, usize, Visit)>,
    written: usize,
}

/// What stands behind the last newline that is written.
enum Tail {
    Nothing,
    /// What is a row even if nothing follows.
    Row(Visit),
    Broken,
}

impl Logs {
    /// Directories for these formats in `root`, without files.
    pub(crate) fn new(root: &Path, formats: &[Format]) -> Self {
        for format in formats {
            fs::create_dir_all(root.join(format.name()).join("deep")).expect("a directory");
        }
        Logs { root: root.to_owned(), files: BTreeMap::new() }
    }

    /// Fewer than `most` new rows for one file of these formats; some of the bytes that wait are written.
    pub(crate) fn arrive(&mut self, random: &mut Random, formats: &[Format], most: u64) {
        let format = formats[random.below(formats.len() as u64) as usize];
        let number = random.below(4);
        let folder = self.root.join(format.name()).join(if number < 3 { "" } else { "deep" });
        let is_new = !self.files.contains_key(&(format, number));
        let file = self.files.entry((format, number)).or_insert_with(|| Growing::new(format, &folder, number));
        for _ in 0..random.below(most) {
            file.push(random.visit(), number);
        }
        if is_new && random.below(3) == 0 {
            file.appear();
        }
        let waiting = file.text.len() - file.written;
        let length = if random.below(2) == 0 { waiting } else { random.below(waiting as u64 + 1) as usize };
        file.write(file.written + length);
    }

    /// Sees to it that what is written of these formats can be read though it ends anywhere: the last line of a file
    /// stays as it is where it is a row, or goes on, without a newline or with it.
    pub(crate) fn settle(&mut self, random: &mut Random, formats: &[Format]) {
        for file in self.files.values_mut().filter(|file| formats.contains(&file.format)) {
            let places = file.places();
            file.write(places[random.below(places.len() as u64) as usize]);
        }
    }

    /// Writes all that waits.
    pub(crate) fn finish(&mut self) {
        self.files.values_mut().for_each(|file| file.write(file.text.len()));
    }

    /// The rows that are written, whole lines only.
    pub(crate) fn visits(&self) -> Vec<Visit> {
        let rows = self.files.values().flat_map(|file| file.rows.iter().filter(|row| row.1 <= file.written));
        rows.map(|row| row.2.clone()).collect()
    }

    /// All rows, with the file that each is in and the byte behind its newline.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&Path, u64, &Visit)> {
        self.files
            .values()
            .flat_map(|file| file.rows.iter().map(|(_, end, visit)| (file.path.as_path(), *end as u64, visit)))
    }

    /// The rows behind the last newlines of files of these formats.
    pub(crate) fn last_rows(&self, formats: &[Format]) -> Vec<Visit> {
        let files = self.files.values().filter(|file| formats.contains(&file.format));
        let rows = files.filter_map(|file| if let Tail::Row(visit) = file.tail() { Some(visit) } else { None });
        rows.collect()
    }
}

impl Growing {
    fn new(format: Format, folder: &Path, number: u64) -> Self {
        let header: &[u8] = match format {
            Format::Csv if number == 1 => b"other,time,user,pages\n",
            Format::Csv => b"user,time,pages\n",
            Format::JsonLines => b"",
        };
        let path = folder.join(format!("{number}.log"));
        Growing { format, path, text: header.to_vec(), header: header.len(), rows: Vec::new(), written: 0 }
    }

    fn push(&mut self, visit: Visit, number: u64) {
        let start = self.text.len();
        let mut line = match self.format {
            Format::Csv => csv_rows(std::slice::from_ref(&visit)),
            Format::JsonLines => json_line(&visit) + "\n",
        };
        if self.format == Format::Csv && number == 1 {
            let pages = visit.pages.map(|pages| pages.to_string()).unwrap_or_default();
            line = format!("7,{},\"{}\",{pages}\n", visit.time, visit.user.replace('"', "\"\""));
        }
        self.text.extend_from_slice(line.as_bytes());
        self.rows.push((start, self.text.len(), visit));
    }

    /// Writes everything under a name that is passed over, and gives the file its own name then.
    fn appear(&mut self) {
        let unfinished = self.path.with_extension("part");
        fs::write(&unfinished, &self.text).expect("a file");
        fs::rename(unfinished, &self.path).expect("a file");
        self.written = self.text.len();
    }

    /// Writes up to this byte.
    fn write(&mut self, to: usize) {
        let file = fs::OpenOptions::new().create(true).append(true).open(&self.path);
        file.expect("a file").write_all(&self.text[self.written..to]).expect("bytes");
        self.written = to;
    }

    /// From where writing is to the end of the line, the places at which it may rest without a broken line.
    fn places(&self) -> Vec<usize> {
        let ends = [self.header].into_iter().chain(self.rows.iter().map(|row| row.1));
        let end = ends.filter(|end| *end >= self.written).min().unwrap_or(self.written);
        (self.written..=end).filter(|place| !matches!(self.tail_at(*place), Tail::Broken)).collect()
    }

    fn tail(&self) -> Tail {
        self.tail_at(self.written)
    }

    /// What the last line is if writing rests at `place`.
    fn tail_at(&self, place: usize) -> Tail {
        if place < self.header {
            return if [0, self.header - 1].contains(&place) { Tail::Nothing } else { Tail::Broken };
        }
        let cut = self.rows.iter().find(|(start, end, _)| *start < place && place < *end);
        let Some((start, end, visit)) = cut else { return Tail::Nothing };
        let (tail, line) = (&self.text[*start..place], &self.text[*start..*end - 1]);
        if self.format == Format::JsonLines {
            return if tail.len() >= line.trim_ascii_end().len() { Tail::Row(visit.clone()) } else { Tail::Broken };
        }
        // The last field may be cut.
        let last = line.iter().rposition(|byte| *byte == b',').expect("three fields") + 1;
        let field = tail.get(last..).map(|field| std::str::from_utf8(field).expect("a number"));
        match field.map(|field| (field.is_empty(), field.parse())) {
            Some((true, _)) => Tail::Row(Visit { pages: None, ..visit.clone() }),
            Some((false, Ok(pages))) => Tail::Row(Visit { pages: Some(pages), ..visit.clone() }),
            _ => Tail::Broken,
        }
    }
}

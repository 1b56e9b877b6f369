use std::fs::File;
use std::hash::Hasher;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anabranch_model::project::Source;
use anyhow::{Context, bail, ensure};
use flate2::read::MultiGzDecoder;
use twox_hash::XxHash64;

use super::row::Rows;
use super::{csv, ndjson, parquet};

/// A file to ingest.
#[derive(Clone)]
pub struct Input {
    /// The file's name without its folder, which may differ between two runs.
    pub name: String,
    size_bytes: u64,
    /// Of the file as it is, compressed or not.
    checksum: u64,
    format: Format,
    gzip: bool,
    content: Content,
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Csv,
    Ndjson,
    Parquet,
}

#[derive(Clone)]
enum Content {
    File(PathBuf),
    Memory(Arc<[u8]>),
}

impl Input {
    /// The file at `path`, its format told by its name.
    pub fn file(path: &Path) -> anyhow::Result<Self> {
        let metadata = path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(metadata.is_file(), "{} is not a file; name the files in it", path.display());
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (format, gzip) = format_of(&name)?;
        let checksum = checksum(File::open(path)?).with_context(|| format!("cannot read {}", path.display()))?;
        let content = Content::File(path.to_owned());
        Ok(Self { name, size_bytes: metadata.len(), checksum, format, gzip, content })
    }

    /// A gzipped CSV file in memory.
    pub fn csv_gz(name: &str, gz: &[u8]) -> Self {
        let (size_bytes, checksum) = (gz.len() as u64, XxHash64::oneshot(0, gz));
        let content = Content::Memory(gz.into());
        Self { name: name.to_owned(), size_bytes, checksum, format: Format::Csv, gzip: true, content }
    }

    /// What the log knows the file by: the same in every run over the same file.
    pub fn identity(&self) -> String {
        format!("{}:{:016x}", self.nominal_identity(), self.checksum)
    }

    /// What the log knew it by before files had checksums.
    pub fn nominal_identity(&self) -> String {
        format!("{}:{}", self.name, self.size_bytes)
    }

    pub fn is_csv(&self) -> bool {
        self.format == Format::Csv
    }

    pub fn is_parquet(&self) -> bool {
        self.format == Format::Parquet
    }

    /// Reads the whole file and returns how many rows it has, or what is malformed in it.
    pub fn check(&self, source: &Source) -> anyhow::Result<u64> {
        match self.format {
            Format::Csv => csv::check(source, self),
            Format::Ndjson => ndjson::check(source, self),
            Format::Parquet => parquet::check(source, self),
        }
    }

    /// The rows as events, in the order of the file.
    pub fn rows<'a>(&self, source: &'a Source) -> anyhow::Result<Rows<'a>> {
        Ok(match self.format {
            Format::Csv => Box::new(csv::rows(source, self)?),
            Format::Ndjson => Box::new(ndjson::rows(source, self)?),
            Format::Parquet => Box::new(parquet::rows(source, self)?),
        })
    }

    /// The text of the file, decompressed.
    pub fn open(&self) -> anyhow::Result<Box<dyn Read>> {
        let raw: Box<dyn Read> = match &self.content {
            Content::File(path) => Box::new(File::open(path)?),
            Content::Memory(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
        };
        Ok(if self.gzip { Box::new(MultiGzDecoder::new(raw)) } else { raw })
    }

    /// The file itself, for formats that are read out of order.
    pub fn open_file(&self) -> anyhow::Result<File> {
        match &self.content {
            Content::File(path) => Ok(File::open(path)?),
            Content::Memory(_) => bail!("{} can only be read from a file", self.name),
        }
    }
}

fn checksum(mut file: File) -> std::io::Result<u64> {
    let (mut hasher, mut buffer) = (XxHash64::with_seed(0), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.write(&buffer[..read]),
        }
    }
}

fn format_of(name: &str) -> anyhow::Result<(Format, bool)> {
    let lower = name.to_ascii_lowercase();
    let (stem, gzip) = lower.strip_suffix(".gz").map_or((lower.as_str(), false), |stem| (stem, true));
    let format = match stem.rsplit_once('.').map(|(_, extension)| extension) {
        Some("csv") => Format::Csv,
        Some("ndjson" | "jsonl") => Format::Ndjson,
        Some("parquet") if !gzip => Format::Parquet,
        _ => bail!("{name} is of no known format; name it .csv, .ndjson or .jsonl (each also with .gz) or .parquet"),
    };
    Ok((format, gzip))
}

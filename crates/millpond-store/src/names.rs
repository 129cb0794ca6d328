//! The names of the files of a state.

pub(crate) const LOCK: &str = "lock";

pub(crate) const MANIFEST_TEMP: &str = "manifest.tmp";

/// What a name in a state directory stands for.
pub(crate) enum Kind {
    Manifest(u64),
    Blob,
    Temp,
    Other,
}

impl Kind {
    pub(crate) fn of(name: &str) -> Kind {
        if let Some(generation) = manifest_generation(name) {
            return Kind::Manifest(generation);
        }
        match name {
            MANIFEST_TEMP => Kind::Temp,
            _ if blob_generation(name).is_some() => Kind::Blob,
            _ => Kind::Other,
        }
    }
}

pub(crate) fn manifest_name(generation: u64) -> String {
    format!("manifest-{generation:016}")
}

pub(crate) fn blob_name(generation: u64, number: usize) -> String {
    format!("runs-{generation:016}-{number}")
}

pub(crate) fn manifest_generation(name: &str) -> Option<u64> {
    generation_number(name.strip_prefix("manifest-")?)
}

pub(crate) fn blob_generation(name: &str) -> Option<u64> {
    let (generation, number) = name.strip_prefix("runs-")?.split_once('-')?;
    let is_number = !number.is_empty() && number.len() < 10 && number.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { generation_number(generation) } else { None }
}

fn generation_number(text: &str) -> Option<u64> {
    let strict = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit());
    if strict { text.parse().ok() } else { None }
}

/// Refuses names in a manifest that no blob can have.
pub(crate) fn check_blob_name(name: &str) -> std::result::Result<(), String> {
    blob_generation(name).map(|_| ()).ok_or_else(|| format!("{name:?} is not the name of a blob"))
}

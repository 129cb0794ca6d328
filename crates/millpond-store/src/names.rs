//! The names of the files of a state.

use xxhash_rust::xxh3::xxh3_128;

pub(crate) const LOCK: &str = "lock";

pub(crate) const MANIFEST_TEMP: &str = "manifest.tmp";

/// What a name in a state directory stands for.
pub(crate) enum Kind {
    Manifest(u64),
    Plan,
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
            _ if is_plan_name(name) => Kind::Plan,
            _ => Kind::Other,
        }
    }
}

pub(crate) fn manifest_name(generation: u64) -> String {
    format!("manifest-{generation:016}")
}

/// The name of the file that holds this plan: equal plans are one file, and the name tells whether it is whole.
pub fn plan_name(plan: &[u8]) -> String {
    format!("plan-{:032x}", xxh3_128(plan))
}

fn is_plan_name(name: &str) -> bool {
    let digits = name.strip_prefix("plan-").unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
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

/// Refuses names in a manifest that no plan can have.
pub(crate) fn check_plan_name(name: &str) -> std::result::Result<(), String> {
    if is_plan_name(name) { Ok(()) } else { Err(format!("{name:?} is not the name of a plan")) }
}

//! Compaction: what is copied out of old blobs, so that the directory stays small however many checkpoints were
//! written.
//!
//! A blob stays as long as one segment in it is named. Two rules say which blobs are emptied, each by copying the
//! segments in it that are still named into the checkpoint under way:
//!
//! - *Dead bytes.* As long as more than a quarter of what is named is dead, the blob with the greatest share of dead
//!   bytes is emptied. That share is at least a fifth, so each dead byte costs at most four copied ones.
//! - *Number.* When there are too many blobs, those with the fewest bytes are emptied, and the next ones as long as
//!   they are at most twice as large as those before together: sizes grow geometrically, so bytes are copied a
//!   logarithmic number of times. How many are too many depends on workers and bytes, never on the number of
//!   checkpoints.
//!
//! Blobs are of bounded size ([`FULL_BLOB_BYTES`] and one segment), and what one checkpoint copies is bounded by that.

use std::collections::{BTreeMap, BTreeSet};

use millpond_error::Result;

use crate::disk::Disk;
use crate::manifest::{BlobRange, Manifest};
use crate::names::blob_generation;

/// A worker's blob of this size is followed by another one.
pub(crate) const FULL_BLOB_BYTES: u64 = 16 << 20;
/// The number of the writer that copies; no worker has it.
pub(crate) const WRITER: usize = 9_998;
/// Beside one for each writer and each [`FULL_BLOB_BYTES`], so many blobs are not too many.
const MOST_BLOBS: usize = 8;
/// So many dead bytes are not worth a copy.
const FREE_DEAD_BYTES: u64 = 16 << 10;
/// A checkpoint copies at most about so many bytes, or twice those that it has written.
const COPY_BYTES: u64 = 4 << 20;

/// What a blob holds.
struct Usage<'a> {
    length: u64,
    /// Bytes of its places.
    live: u64,
    places: BTreeSet<&'a BlobRange>,
}

impl Usage<'_> {
    fn dead(&self) -> u64 {
        self.length.saturating_sub(self.live)
    }

    fn dead_share(&self) -> f64 {
        self.dead() as f64 / self.length.max(1) as f64
    }
}

/// The segments to be copied into the checkpoint of `generation`, which has `written` bytes by `writers` writers so
/// far.
pub(crate) fn victims(
    disk: &dyn Disk,
    manifest: &Manifest,
    generation: u64,
    written: u64,
    writers: usize,
) -> Result<Vec<BlobRange>> {
    let mut blobs: BTreeMap<&str, Usage<'_>> = BTreeMap::new();
    for place in manifest.places() {
        if !blobs.contains_key(&*place.blob) {
            let length = disk.length(&place.blob)?.unwrap_or_default();
            blobs.insert(&place.blob, Usage { length, live: 0, places: BTreeSet::new() });
        }
        if let Some(usage) = blobs.get_mut(&*place.blob)
            && usage.places.insert(place)
        {
            usage.live += place.length;
        }
    }
    let live: u64 = blobs.values().map(|usage| usage.live).sum();
    let mut dead: u64 = blobs.values().map(Usage::dead).sum();
    let mut count = blobs.len();
    let mut old: Vec<Usage<'_>> = blobs
        .into_iter()
        .filter(|(name, _)| blob_generation(name) != Some(generation))
        .map(|(_, usage)| usage)
        .collect();
    let mut room = COPY_BYTES.max(2 * written);
    let mut victims = Vec::new();

    // The share of dead bytes, the greatest last.
    old.sort_by(|a, b| a.dead_share().total_cmp(&b.dead_share()));
    while dead > live / 4 + FREE_DEAD_BYTES {
        let Some(usage) = old.pop_if(|usage| usage.live <= room || victims.is_empty()) else { break };
        dead -= usage.dead();
        room = room.saturating_sub(usage.live);
        count -= 1;
        victims.extend(usage.places.into_iter().cloned());
    }

    let most = MOST_BLOBS + writers + (live / FULL_BLOB_BYTES) as usize;
    if count > most {
        old.sort_by_key(|usage| usage.live);
        let mut emptied = 0;
        for (at, usage) in old.into_iter().enumerate() {
            if at >= count - most && (usage.live > 2 * emptied || usage.live >= FULL_BLOB_BYTES) {
                break;
            }
            emptied += usage.live;
            victims.extend(usage.places.into_iter().cloned());
        }
    }
    Ok(victims)
}

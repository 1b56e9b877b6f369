//! Which partition a key belongs to.

use serde_json::{Map, Value};

use crate::position::Partition;
use crate::project::Source;

/// The key of an event: the text of its key column, or a JSON array of the texts where the source
/// has several. Empty when the source has no key or the event has none of its columns.
///
/// A number and a string with the same text are one key, so that it does not matter how a producer
/// quotes its customer numbers.
pub fn key_bytes(source: &Source, event: &Map<String, Value>) -> Vec<u8> {
    let texts: Vec<Option<String>> = source.key.iter().map(|column| text(event.get(column)?)).collect();
    match texts.as_slice() {
        [single] => single.clone().unwrap_or_default().into_bytes(),
        several if several.iter().any(Option::is_some) => {
            serde_json::to_vec(several).expect("texts can always be written as JSON")
        }
        _ => Vec::new(),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The partition of `key` among `partitions`: murmur2 as the Java client's default partitioner
/// computes it (`org.apache.kafka.common.utils.Utils.murmur2`), so that events written by other
/// producers with the same key share its partition.
pub fn partition_of(key: &[u8], partitions: u32) -> Partition {
    Partition((murmur2(key) & 0x7fff_ffff) % partitions)
}

fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("chunks of four")).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = words.remainder();
    for (i, byte) in tail.iter().enumerate() {
        h ^= u32::from(*byte) << (8 * i);
    }
    if !tail.is_empty() {
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{key_bytes, murmur2};
    use crate::project::Source;

    fn key(columns: &[&str], event: serde_json::Value) -> String {
        let source = Source {
            name: "orders".into(),
            topic: "orders".into(),
            partitions: 1,
            event_time: "ts".into(),
            lateness_us: 0,
            max_future_us: 0,
            key: columns.iter().map(|column| (*column).to_owned()).collect(),
            columns: vec![],
        };
        String::from_utf8(key_bytes(&source, event.as_object().unwrap())).unwrap()
    }

    #[test]
    fn the_key_is_the_text_of_the_key_columns() {
        assert_eq!(key(&["user"], json!({"user": "a\"b", "n": 1})), "a\"b");
        assert_eq!(key(&["user"], json!({"user": 17})), key(&["user"], json!({"user": "17"})));
        assert_eq!(key(&["user", "n"], json!({"n": 1, "user": "a"})), r#"["a","1"]"#);
        assert_eq!(key(&["user", "n"], json!({"user": "null"})), r#"["null",null]"#);
    }

    #[test]
    fn an_event_without_its_key_columns_has_an_empty_key() {
        assert_eq!(key(&[], json!({"user": "a"})), "");
        assert_eq!(key(&["user"], json!({"user": null})), "");
        assert_eq!(key(&["user", "n"], json!({"other": 1})), "");
    }

    /// The values of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn agrees_with_the_java_client() {
        let cases: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key) as i32, hash, "{}", String::from_utf8_lossy(key));
        }
    }
}

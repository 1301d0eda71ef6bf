//! Bytes in JSON.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// Bytes as JSON has them: a string if they are UTF-8, else `{"base64": "…"}`.
#[derive(Clone, Copy, Debug)]
pub struct JsonText<'a>(pub &'a [u8]);

impl Serialize for JsonText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("base64", &BASE64_STANDARD.encode(self.0))?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_marked() {
        let json = |bytes| serde_json::to_string(&JsonText(bytes)).unwrap();
        assert_eq!(json("a\"ü\0".as_bytes()), r#""a\"ü\u0000""#);
        assert_eq!(json(b"\xff\0"), r#"{"base64":"/wA="}"#);
    }
}

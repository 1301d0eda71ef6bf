//! What commands of several families do with the elements of collections.

use crate::data::listpack::Element;
use crate::resp::Reply;

/// Replies with an element as a bulk string.
#[inline]
pub fn reply_element(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Integer(number) => reply.bulk_integer(number),
        Element::Bytes(bytes) => reply.bulk(bytes),
    }
}

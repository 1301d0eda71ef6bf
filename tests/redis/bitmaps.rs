//! Strings of bits.

/// The forms of the commands; the grammar module says how to read them.
pub const LINES: &[&str] = &[
    "SETBIT $bits $bit ( 0 | 1 )",
    "GETBIT $bits $bit",
    "BITCOUNT $bits",
    "BITCOUNT $bits $index $index [ ( BYTE | BIT ) ]",
    "BITPOS $bits ( 0 | 1 ) [ $index [ $index [ ( BYTE | BIT ) ] ] ]",
    "BITOP ( AND | OR | XOR ) $bits { $bits }",
    "BITOP NOT $bits $bits",
    "BITFIELD $bits { ( GET $fieldtype $fieldoffset | SET $fieldtype $fieldoffset $int | INCRBY $fieldtype $fieldoffset $int | OVERFLOW ( WRAP | SAT | FAIL ) SET $fieldtype $fieldoffset $int | OVERFLOW ( WRAP | SAT | FAIL ) INCRBY $fieldtype $fieldoffset $int ) }",
    "BITFIELD_RO $bits { GET $fieldtype $fieldoffset }",
    "SET $bits $value",
    "DEL $bits",
    "OBJECT ENCODING $bits",
];

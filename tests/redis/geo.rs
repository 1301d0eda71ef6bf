//! Geographic positions.

/// The forms of the commands; the grammar module says how to read them.
pub const LINES: &[&str] = &[
    "GEOADD $geo << [ ( NX | XX ) ] [ CH ] >> { $longitude $latitude $member }",
    "GEOADD $geo many{ $longitude $latitude $member }",
    "GEOPOS $geo { $member }",
    "GEODIST $geo $member $member [ $unit ]",
    "GEOHASH $geo { $member }",
    "GEORADIUS $geo $longitude $latitude $radius $unit << [ WITHCOORD ] [ WITHDIST ] [ WITHHASH ] [ COUNT $count ] ( ASC | DESC ) >>",
    "GEORADIUS $geo $longitude $latitude $radius $unit << [ COUNT $count ] [ ASC ] ( STORE $geo | STOREDIST $geo ) >>",
    "GEORADIUS $geo $longitude $latitude 30000 km << [ WITHDIST ] COUNT 1000 ANY ASC >>",
    "GEORADIUS $geo $longitude $latitude $radius $unit",
    "GEORADIUS_RO $geo $longitude $latitude $radius $unit << [ WITHCOORD ] [ WITHDIST ] [ WITHHASH ] [ COUNT $count [ ANY ] ] ( ASC | DESC ) >>",
    "GEORADIUSBYMEMBER $geo $member $radius $unit << [ WITHCOORD ] [ WITHDIST ] [ WITHHASH ] [ COUNT $count [ ANY ] ] ( ASC | DESC ) >>",
    "GEORADIUSBYMEMBER $geo $member $radius $unit << [ COUNT $count ] ( STORE $geo | STOREDIST $geo ) >>",
    "GEORADIUSBYMEMBER_RO $geo $member $radius $unit << [ WITHCOORD ] [ WITHDIST ] [ WITHHASH ] [ COUNT $count [ ANY ] ] ( ASC | DESC ) >>",
    "GEOSEARCH $geo << ( FROMMEMBER $member | FROMLONLAT $longitude $latitude ) ( BYRADIUS $radius $unit | BYBOX $radius $radius $unit ) [ ( ASC | DESC ) ] [ COUNT $count [ ANY ] ] [ WITHCOORD ] [ WITHDIST ] [ WITHHASH ] >>",
    "GEOSEARCH $geo FROMLONLAT $longitude $latitude ( BYRADIUS 8000 km | BYBOX 20000 9000 km ) ( ASC | DESC ) << [ WITHCOORD ] [ WITHDIST ] [ WITHHASH ] >>",
    "GEOSEARCHSTORE $geo $geo << ( FROMMEMBER $member | FROMLONLAT $longitude $latitude ) ( BYRADIUS $radius $unit | BYBOX $radius $radius $unit ) [ ( ASC | DESC ) ] [ COUNT $count [ ANY ] ] [ STOREDIST ] >>",
    "DEL $geo",
    "OBJECT ENCODING $geo",
];

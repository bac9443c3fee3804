"""One module a radar product. Each has the two functions of `ssldm.radar.formats.protocol.RadarFormat`."""

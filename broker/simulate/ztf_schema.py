"""Schema of a packet shaped like ZTF's version 4.02: our own table of its fields.

A line is ``name type meaning``; a question mark after the type makes it nullable with default null, an exclamation mark
nullable without default.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

__all__ = ["VERSION", "record", "schema", "schema_json"]

VERSION = "4.02"

_CANDIDATE = """
jd double Start of the exposure, as a Julian date in UTC [days]
fid int Number of the filter: 1 is g, 2 is R, 3 is i
pid long Number of the processing that made the science image
diffmaglim float? Five-sigma limit of the difference image [mag]
pdiffimfilename string? File of the positive difference image, science minus reference
programpi string? Investigator of the programme the exposure belongs to
programid int Number of the programme: 0 engineering, 1 public, 2 partnership, 3 Caltech
candid long Number of this candidate, unique over the survey
isdiffpos string t or 1: brighter than the reference; f or 0: fainter than the reference
tblid long? Number within the list of candidates extracted from the image
nid int? Number of the night, counted from the first day of 2017
rcid int? Readout channel, 0 to 63
field int? Number of the field in the survey's fixed grid
xpos float? Place along x on the science image [pixels]
ypos float? Place along y on the science image [pixels]
ra double Right ascension of the candidate, J2000 [deg]
dec double Declination of the candidate, J2000 [deg]
magpsf float Magnitude of the difference, fitted with the point spread function [mag]
sigmapsf float One-sigma uncertainty of magpsf [mag]
chipsf float? Reduced chi-square of the fit with the point spread function
magap float? Magnitude in an aperture 14 pixels across [mag]
sigmagap float? One-sigma uncertainty of magap [mag]
distnr float? Distance to the nearest source of the reference image within 30 arcsec [pixels]
magnr float? Magnitude of that nearest reference source [mag]
sigmagnr float? One-sigma uncertainty of magnr [mag]
chinr float? DAOPhot chi of that nearest reference source
sharpnr float? DAOPhot sharpness of that nearest reference source
sky float? Local background under the candidate [DN]
magdiff float? Aperture magnitude minus fitted magnitude [mag]
fwhm float? Full width at half maximum for a Gaussian core, from the extraction [pixels]
classtar float? Star-galaxy score of the extraction, 1 is a star
mindtoedge float? Distance to the nearest edge of the image [pixels]
magfromlim float? Limit of the difference image minus magap [mag]
seeratio float? Width of the difference over the width of the science image's point spread function
aimage float? Semi-major axis of the windowed profile [pixels]
bimage float? Semi-minor axis of the windowed profile [pixels]
aimagerat float? Ratio aimage over fwhm
bimagerat float? Ratio bimage over fwhm
elong float? Ratio aimage over bimage
nneg int? Negative pixels in the 5 x 5 box around the candidate
nbad int? Masked pixels in the 5 x 5 box around the candidate
rb float? Real-bogus score of the random forest, 0 bogus to 1 real
ssdistnr float? Distance to the nearest known solar system object, -999 for none [arcsec]
ssmagnr float? V magnitude predicted for that solar system object, -999 for none [mag]
ssnamenr string? Name of that solar system object in the archive of the Minor Planet Center
sumrat float? Sum of pixels over sum of absolute pixels in the 5 x 5 box, 1 for a clean candidate
magapbig float? Magnitude in an aperture 18 pixels across [mag]
sigmagapbig float? One-sigma uncertainty of magapbig [mag]
ranr double Right ascension of the nearest reference source, J2000 [deg]
decnr double Declination of the nearest reference source, J2000 [deg]
sgmag1 float? g magnitude of the nearest Pan-STARRS1 source within 30 arcsec [mag]
srmag1 float? r magnitude of the nearest Pan-STARRS1 source within 30 arcsec [mag]
simag1 float? i magnitude of the nearest Pan-STARRS1 source within 30 arcsec [mag]
szmag1 float? z magnitude of the nearest Pan-STARRS1 source within 30 arcsec [mag]
sgscore1 float? Star-galaxy score of the nearest Pan-STARRS1 source, 0 galaxy to 1 star
distpsnr1 float? Distance to the nearest Pan-STARRS1 source [arcsec]
ndethist int Detections at this place since the survey began, all fields and filters
ncovhist int Times this place fell on an image, all fields and filters
jdstarthist double? Julian date of the first detection at this place [days]
jdendhist double? Julian date of the latest detection at this place [days]
scorr double? Peak signal to noise in the detection image, corrected for noise that pixels share
tooflag int? 1 where the exposure followed a target of opportunity
objectidps1 long? Pan-STARRS1 number of the nearest source
objectidps2 long? Pan-STARRS1 number of the second nearest source
sgmag2 float? g magnitude of the second nearest Pan-STARRS1 source within 30 arcsec [mag]
srmag2 float? r magnitude of the second nearest Pan-STARRS1 source within 30 arcsec [mag]
simag2 float? i magnitude of the second nearest Pan-STARRS1 source within 30 arcsec [mag]
szmag2 float? z magnitude of the second nearest Pan-STARRS1 source within 30 arcsec [mag]
sgscore2 float? Star-galaxy score of the second nearest Pan-STARRS1 source, 0 galaxy to 1 star
distpsnr2 float? Distance to the second nearest Pan-STARRS1 source [arcsec]
objectidps3 long? Pan-STARRS1 number of the third nearest source
sgmag3 float? g magnitude of the third nearest Pan-STARRS1 source within 30 arcsec [mag]
srmag3 float? r magnitude of the third nearest Pan-STARRS1 source within 30 arcsec [mag]
simag3 float? i magnitude of the third nearest Pan-STARRS1 source within 30 arcsec [mag]
szmag3 float? z magnitude of the third nearest Pan-STARRS1 source within 30 arcsec [mag]
sgscore3 float? Star-galaxy score of the third nearest Pan-STARRS1 source, 0 galaxy to 1 star
distpsnr3 float? Distance to the third nearest Pan-STARRS1 source [arcsec]
nmtchps int Pan-STARRS1 sources within 30 arcsec
rfid long Number of the processing that made the reference image
jdstartref double Julian date of the earliest exposure in the reference image [days]
jdendref double Julian date of the latest exposure in the reference image [days]
nframesref int Exposures in the reference image
rbversion string Version of the random forest behind rb
dsnrms float? Signal over noise of the difference, at the candidate's pixel
ssnrms float? Signal over noise of the science image, at the candidate's pixel
dsdiff float? dsnrms minus ssnrms
magzpsci float? Zero point that turns counts of the science image into magnitudes [mag]
magzpsciunc float? One-sigma uncertainty of magzpsci [mag]
magzpscirms float? Scatter of the stars the zero point was measured with [mag]
nmatches int Stars the zero point was measured with
clrcoeff float? Colour coefficient of the photometric calibration
clrcounc float? One-sigma uncertainty of clrcoeff
zpclrcov float? Covariance of magzpsci and clrcoeff [mag^2]
zpmed float? Median of instrumental minus Pan-STARRS1 magnitudes [mag]
clrmed float? Median colour of the calibration stars, g-r or r-i [mag]
clrrms float? Scatter of the colour of the calibration stars [mag]
neargaia float? Distance to the nearest Gaia source of any brightness, -999 for none [arcsec]
neargaiabright float? Distance to the nearest Gaia source brighter than 14, -999 for none [arcsec]
maggaia float? Gaia G magnitude of the nearest source of any brightness, -999 for none [mag]
maggaiabright float? Gaia G magnitude of the nearest source brighter than 14, -999 for none [mag]
exptime float? Exposure time of the camera [s]
drb float? Real-bogus score of the deep-learning classifier, 0 bogus to 1 real
drbversion string Version of the network behind drb
"""

# An earlier epoch: a detection, or nulls where there was only a limit.
_EARLIER = """
jd fid pid diffmaglim pdiffimfilename programpi programid candid! isdiffpos! tblid nid rcid field xpos ypos ra! dec! magpsf!
sigmapsf! chipsf magap sigmagap distnr magnr sigmagnr chinr sharpnr sky magdiff fwhm classtar mindtoedge magfromlim seeratio
aimage bimage aimagerat bimagerat elong nneg nbad rb ssdistnr ssmagnr ssnamenr sumrat magapbig sigmagapbig ranr! decnr! scorr
magzpsci magzpsciunc magzpscirms clrcoeff clrcounc rbversion
"""

_FORCED = """
field int? Number of the field in the survey's fixed grid
rcid int? Readout channel, 0 to 63
fid int Number of the filter: 1 is g, 2 is R, 3 is i
pid long Number of the processing that made the science image
rfid long Number of the processing that made the reference image
sciinpseeing float? Effective width of the science image's point spread function [pixels]
scibckgnd float? Background level of the science image [DN]
scisigpix float? Robust noise of a pixel of the science image [DN]
magzpsci float? Zero point that turns counts of the science image into magnitudes [mag]
magzpsciunc float? One-sigma uncertainty of magzpsci [mag]
magzpscirms float? Scatter of the stars the zero point was measured with [mag]
clrcoeff float? Colour coefficient of the photometric calibration
clrcounc float? One-sigma uncertainty of clrcoeff
exptime float? Exposure time of the camera [s]
adpctdif1 float? First indicator of how much the astrometry scatters
adpctdif2 float? Second indicator of how much the astrometry scatters
diffmaglim float? Five-sigma limit of the difference image [mag]
programid int Number of the programme: 0 engineering, 1 public, 2 partnership, 3 Caltech
jd double Start of the exposure, as a Julian date in UTC [days]
forcediffimflux float? Flux of the difference at the object's place, -99999 where it failed [DN]
forcediffimfluxunc float? One-sigma uncertainty of forcediffimflux [DN]
procstatus string? Codes of what went wrong with the measurement, 0 for nothing
distnr float? Distance to the nearest source of the reference image [pixels]
ranr double Right ascension of the nearest reference source, J2000 [deg]
decnr double Declination of the nearest reference source, J2000 [deg]
magnr float? Magnitude of that nearest reference source [mag]
sigmagnr float? One-sigma uncertainty of magnr [mag]
chinr float? DAOPhot chi of that nearest reference source
sharpnr float? DAOPhot sharpness of that nearest reference source
"""


def _field(line: str) -> dict[str, Any]:
    name, kind, doc = line.split(" ", 2)
    if kind.endswith("?"):
        return {"name": name, "type": ["null", kind[:-1]], "default": None, "doc": doc}
    return {"name": name, "type": kind, "doc": doc}


def _earlier(candidate: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    fields = []
    for token in _EARLIER.split():
        field = candidate[token.rstrip("!")]
        fields.append({**field, "type": ["null", field["type"]]} if token.endswith("!") else field)
    return fields


def _record(name: str, doc: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "record", "name": name, "namespace": "ztf.alert", "version": VERSION, "doc": doc, "fields": fields}


@cache
def schema() -> dict[str, Any]:
    """Avro schema of the packet, as JSON has it; callers must not change it."""
    candidate = [_field(line) for line in _CANDIDATE.strip().splitlines()]
    earlier = _earlier({field["name"]: field for field in candidate})
    forced = [_field(line) for line in _FORCED.strip().splitlines()]
    cutout = [{"name": "fileName", "type": "string"}, {"name": "stampData", "type": "bytes", "doc": "FITS image, gzipped"}]
    stamps = ["Science", "Template", "Difference"]
    return {
        "type": "record",
        "name": "alert",
        "namespace": "ztf",
        "version": VERSION,
        "doc": "Simulated packet with the fields of ZTF's alerts",
        "fields": [
            {"name": "schemavsn", "type": "string", "doc": "Version of the schema"},
            {"name": "publisher", "type": "string", "doc": "Who made the packet"},
            {"name": "objectId", "type": "string", "doc": "Name of the object, by place"},
            {"name": "candid", "type": "long"},
            {"name": "candidate", "type": _record("candidate", "The detection behind the alert", candidate)},
            _array("prv_candidates", _record("prv_candidate", "Detection or limit of the last 30 days", earlier)),
            _array("fp_hists", _record("fp_hist", "Forced photometry of the last 30 days", forced)),
            *(
                {"name": f"cutout{stamp}", "type": ["null", kind], "default": None}
                for stamp, kind in zip(
                    stamps, [_record("cutout", "Image around it", cutout), *["ztf.alert.cutout"] * 2], strict=True
                )
            ),
        ],
    }


def _array(name: str, items: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "type": ["null", {"type": "array", "items": items}], "default": None}


@cache
def schema_json() -> bytes:
    """The schema as it stands in every packet."""
    return json.dumps(schema()).encode()


@cache
def record(name: str) -> dict[str, Any]:
    """Schema of the record ``candidate``, ``prv_candidate`` or ``fp_hist``; callers must not change it."""
    for field in schema()["fields"]:
        kind = field["type"][1] if isinstance(field["type"], list) else field["type"]
        kind = kind.get("items", kind) if isinstance(kind, dict) else kind
        if isinstance(kind, dict) and kind["name"] == name:
            return kind
    raise KeyError(name)

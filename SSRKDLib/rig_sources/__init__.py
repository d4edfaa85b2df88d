"""Where rigs come from: DICOM tags, calibration files, or plain distances and angles."""

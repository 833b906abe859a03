"""What the conformance vectors are made of: one function a file, each giving the document that is written."""

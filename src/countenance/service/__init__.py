"""The face operations of the Rekognition API on the gallery: wire, keys, gate, operations, and the server."""

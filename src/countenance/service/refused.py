"""The operations of the API that are not here, each with the sentence why.

Two kinds, told apart by their code, since clients stop at both and repeat neither: what is never built, whoever asks,
is AccessDeniedException; what is merely not the task of this server is InvalidParameterException. The model gives both
codes to every one of these operations.
"""

from typing import Final

from countenance.service.failures import WireError

__all__ = ["NEVER_BUILT", "OUT_OF_SCOPE", "REFUSED", "refusal"]

_STREAMS = "a stream processor watches live video for people, and this server identifies nobody in video"
_IN_VIDEO = "it identifies people in stored video, which this server does for nobody"
_FOLLOWING = "it follows people through a video, which this server does for nobody"
_CELEBRITIES = "it names people out of a list that they never agreed to be on; references here come with consent"

NEVER_BUILT: Final[dict[str, str]] = {
    "CreateStreamProcessor": _STREAMS,
    "DeleteStreamProcessor": _STREAMS,
    "DescribeStreamProcessor": _STREAMS,
    "ListStreamProcessors": _STREAMS,
    "StartStreamProcessor": _STREAMS,
    "StopStreamProcessor": _STREAMS,
    "UpdateStreamProcessor": _STREAMS,
    "StartFaceSearch": _IN_VIDEO,
    "GetFaceSearch": _IN_VIDEO,
    "StartPersonTracking": _FOLLOWING,
    "GetPersonTracking": _FOLLOWING,
    "RecognizeCelebrities": _CELEBRITIES,
    "GetCelebrityInfo": _CELEBRITIES,
    "StartCelebrityRecognition": _CELEBRITIES,
    "GetCelebrityRecognition": _CELEBRITIES,
}
"""Operation -> why nobody gets it here."""

_LABELS = "it names things, and this server compares faces only"
_TEXT = "it reads text, and this server compares faces only"
_MODERATION = "it judges what a photo or video shows, and this server compares faces only"
_SEGMENTS = "it cuts videos into shots, and this server takes photos only"
_FACES_IN_VIDEO = "it finds faces in stored video, and this server takes photos only; DetectFaces finds them there"
_LIVENESS = "it tells a person from a picture of one, and nothing here has been measured for that"
_ANALYSIS = "it judges many photos of a bucket at once, and this server compares faces only"
_MODELS = "it is about models that customers train, and the one model here is measured and certified as it is"
_DATASETS = "it is about data sets that customers train models with, and nothing is trained here"
_PROJECTS = "it is about projects in which customers train models, and nothing is trained here"

OUT_OF_SCOPE: Final[dict[str, str]] = {
    "DetectLabels": _LABELS,
    "StartLabelDetection": _LABELS,
    "GetLabelDetection": _LABELS,
    "DetectProtectiveEquipment": "it looks for masks, gloves and helmets, and this server compares faces only",
    "DetectText": _TEXT,
    "StartTextDetection": _TEXT,
    "GetTextDetection": _TEXT,
    "DetectModerationLabels": _MODERATION,
    "StartContentModeration": _MODERATION,
    "GetContentModeration": _MODERATION,
    "StartSegmentDetection": _SEGMENTS,
    "GetSegmentDetection": _SEGMENTS,
    "StartFaceDetection": _FACES_IN_VIDEO,
    "GetFaceDetection": _FACES_IN_VIDEO,
    "CreateFaceLivenessSession": _LIVENESS,
    "GetFaceLivenessSessionResults": _LIVENESS,
    "StartMediaAnalysisJob": _ANALYSIS,
    "GetMediaAnalysisJob": _ANALYSIS,
    "ListMediaAnalysisJobs": _ANALYSIS,
    "DetectCustomLabels": _MODELS,
    "CreateProjectVersion": _MODELS,
    "CopyProjectVersion": _MODELS,
    "DeleteProjectVersion": _MODELS,
    "DescribeProjectVersions": _MODELS,
    "StartProjectVersion": _MODELS,
    "StopProjectVersion": _MODELS,
    "CreateProject": _PROJECTS,
    "DeleteProject": _PROJECTS,
    "DescribeProjects": _PROJECTS,
    "PutProjectPolicy": _PROJECTS,
    "DeleteProjectPolicy": _PROJECTS,
    "ListProjectPolicies": _PROJECTS,
    "CreateDataset": _DATASETS,
    "DeleteDataset": _DATASETS,
    "DescribeDataset": _DATASETS,
    "DistributeDatasetEntries": _DATASETS,
    "ListDatasetEntries": _DATASETS,
    "ListDatasetLabels": _DATASETS,
    "UpdateDatasetEntries": _DATASETS,
}
"""Operation -> why it is not the task of this server."""

REFUSED: Final[dict[str, str]] = {
    **{name: f"{name} is never built: {why}." for name, why in NEVER_BUILT.items()},
    **{name: f"{name} is not done here: {why}." for name, why in OUT_OF_SCOPE.items()},
}
"""Operation -> the sentence that a client is told."""


def refusal(operation: str) -> WireError:
    """The error for one of these operations. Raises KeyError for any other."""
    code = "AccessDeniedException" if operation in NEVER_BUILT else "InvalidParameterException"
    return WireError(code, REFUSED[operation])

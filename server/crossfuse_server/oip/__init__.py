"""The Open Inference Protocol, as tritonclient, perf_analyzer and KServe speak it.

message.py      an inference request before it is decoded: how large it is, and how large it gets
tensors.py      the tensors of a request and of an answer
parameters.py   what a request may ask for beside its tensors
inference.py    the pairs of one request in the queue of a model, and what is counted of them
describe.py     metadata, configuration and index of the models
statistics.py   what the models have done
servicer.py     the calls
streams.py      ModelStreamInfer
handlers.py     the calls put together for gRPC, with those that are not offered
"""

namespace LlamaServe.Kernels;

/// <summary>A device cannot be used on this machine. The message says why, and what would help.</summary>
public abstract class DeviceUnavailableException(string message, Exception? inner = null) : Exception(message, inner);

namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>
/// CUDA cannot be used on this machine: no or an old driver, no GPU or an unsupported one, no compiler for its kernels, too
/// little memory. The message says which, and what would help.
/// </summary>
public sealed class CudaUnavailableException : DeviceUnavailableException
{
    internal CudaUnavailableException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}

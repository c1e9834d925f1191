namespace LlamaServe.Kernels;

/// <summary>A device failed in the middle of its work.</summary>
public abstract class DeviceException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Whether nothing on the device can be used any more, so that going on with other requests would be in vain.</summary>
    public abstract bool IsLost { get; }
}

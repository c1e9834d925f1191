using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>A call of the driver API that failed.</summary>
public sealed class CudaException : DeviceException
{
    internal CudaException(string entryPoint, CUResult result, string name, string text)
        : base($"{entryPoint} failed: {name} ({text})")
    {
        EntryPoint = entryPoint;
        Result = result;
    }

    /// <summary>The driver's function, without a version suffix: "cuMemAlloc".</summary>
    public string EntryPoint { get; }

    /// <summary>
    /// Whether the device's context is lost: every later call in this process fails too, so nothing on the device can be served
    /// until the process starts again.
    /// </summary>
    public override bool IsLost => Result is CUResult.Deinitialized or CUResult.EccUncorrectable or CUResult.NvlinkUncorrectable
        or CUResult.IllegalAddress or CUResult.LaunchTimeout or CUResult.ContextIsDestroyed or CUResult.Assert
        or (>= CUResult.HardwareStackError and <= CUResult.LaunchFailed) or CUResult.TensorMemoryLeak or CUResult.Unknown;

    internal CUResult Result { get; }

    /// <param name="call">Source text of the failed call, "_api.MemAlloc(&amp;address, bytes)": its function names the entry point.</param>
    internal static unsafe CudaException Create(DriverApi api, CUResult result, string call)
    {
        string? explanation = api.EmulatedLastError == null ? null : Marshal.PtrToStringUTF8((nint)api.EmulatedLastError());
        int end = call.IndexOf('(');
        byte* name = null, text = null;
        _ = api.GetErrorName(result, &name);
        _ = api.GetErrorString(result, &text);
        return new CudaException(
            $"cu{call[(call.LastIndexOf('.', end) + 1)..end]}",
            result,
            Marshal.PtrToStringUTF8((nint)name) ?? $"error {(int)result}",
            (Marshal.PtrToStringUTF8((nint)text) ?? "the driver has no text for it") + (string.IsNullOrEmpty(explanation) ? "" : $": {explanation}"));
    }
}

namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>
/// A folder of cubins that were compiled before, for machines without NVRTC. A cubin counts only for exactly the sources and
/// options that this build would compile; by which version of NVRTC does not matter.
/// </summary>
internal sealed class AheadOfTimeImages(string folder)
{
    /// <summary>Names another folder than "cubins" beside the program.</summary>
    public const string EnvironmentVariable = "LLAMASERVE_CUBINS";

    public static AheadOfTimeImages Default { get; } = new(
        Environment.GetEnvironmentVariable(EnvironmentVariable) is { Length: > 0 } folder
            ? folder
            : Path.Combine(AppContext.BaseDirectory, "cubins"));

    /// <summary>The cubin of a unit, or null.</summary>
    public byte[]? TryRead(KernelSources sources, string unit, GpuArchitecture architecture) =>
        ImageFile.TryRead(FilePath(unit, architecture), Key(sources, unit, architecture));

    public void Write(KernelSources sources, string unit, GpuArchitecture architecture, ReadOnlySpan<byte> image) =>
        ImageFile.Write(FilePath(unit, architecture), Key(sources, unit, architecture), image);

    private static byte[] Key(KernelSources sources, string unit, GpuArchitecture architecture) =>
        sources.Key(unit, NvrtcCompiler.HeaderExtensions, NvrtcCompiler.OptionsFor(architecture));

    private string FilePath(string unit, GpuArchitecture architecture) =>
        Path.Combine(folder, $"{Path.GetFileNameWithoutExtension(unit)}.{architecture.Name()}.image");
}

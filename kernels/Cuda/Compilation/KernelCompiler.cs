namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>Makes an image that a driver's cuModuleLoadData takes out of a compilation unit.</summary>
internal abstract class KernelCompiler
{
    /// <summary>Name and version; another one's images are not reused.</summary>
    public abstract string Identity { get; }

    /// <summary>Extensions of the headers that a unit may include.</summary>
    public abstract IReadOnlyList<string> Headers { get; }

    /// <summary>What the compiler is told beside the source.</summary>
    public abstract IReadOnlyList<string> Options(GpuArchitecture architecture);

    /// <param name="unit">A file's name.</param>
    /// <exception cref="CompileException">The source has an error or deserves a warning.</exception>
    public abstract CompiledKernels Compile(KernelSources sources, string unit, GpuArchitecture architecture);
}

/// <param name="Image">For cuModuleLoadData.</param>
/// <param name="Log">What the compiler said; holds no errors and no warnings.</param>
internal sealed record CompiledKernels(byte[] Image, string Log);

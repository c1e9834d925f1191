namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>A kernel's source that a compiler refuses, or warns about.</summary>
public sealed class CompileException : Exception
{
    internal CompileException(string unit, string compiler, string log)
        : base($"{unit} does not compile with {compiler}:{Environment.NewLine}{log.Trim()}") => Log = log;

    /// <summary>The compiler's words, with file and line.</summary>
    public string Log { get; }
}

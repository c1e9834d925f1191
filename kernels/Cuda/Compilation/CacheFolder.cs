namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>Where compiled kernels are kept.</summary>
internal static class CacheFolder
{
    /// <summary>Replaces ~/.cache/llamaserve.</summary>
    public const string EnvironmentVariable = "LLAMASERVE_CACHE";

    /// <summary>A folder below the user's cache; need not exist yet.</summary>
    public static string Of(string name) => Path.Combine(
        Environment.GetEnvironmentVariable(EnvironmentVariable) is { Length: > 0 } folder
            ? folder
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "llamaserve"),
        name);
}

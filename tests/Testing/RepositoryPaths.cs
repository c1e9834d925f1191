namespace LlamaServe.Testing;

/// <summary>Where tests find files of the repository and beside it.</summary>
public static class RepositoryPaths
{
    private const string RootMark = "LlamaServe.sln";

    /// <summary>The repository's root: the nearest folder above the test's binaries with the solution in it.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The model that comes with the repository, a Hugging Face snapshot folder.</summary>
    public static string BundledModel => Path.Combine(Root, "models", "fairytale-5m");

    /// <summary>
    /// stories260k, a trained Llama as snapshot folder and GGUF with golden outputs, which may lie beside the repository.
    /// Where it does not, the calling test is reported as skipped.
    /// </summary>
    public static string RequireStories()
    {
        string folder = Path.Combine(Root, "..", "shared", "models", "stories260k");
        if (!Directory.Exists(folder))
        {
            Assert.Ignore("stories260k is not at ../shared/models/stories260k: its golden outputs are NOT checked");
        }
        return Path.GetFullPath(folder);
    }

    private static string FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, RootMark)))
            {
                return folder.FullName;
            }
        }
        throw new DirectoryNotFoundException($"{RootMark} is in no folder above {AppContext.BaseDirectory}");
    }
}

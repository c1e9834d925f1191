using System.Diagnostics;

namespace LlamaServe.Bench;

/// <summary>The checkout that this program was built from.</summary>
internal static class Repository
{
    /// <summary>Its root folder: the nearest one above the program with the solution in it.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The commit's id; marked where files differ from it, null outside of git.</summary>
    public static string? Commit => Git("describe", "--always", "--dirty", "--abbrev=40", "--match=");

    private static string FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "LlamaServe.sln")))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException($"LlamaServe.sln is in no folder above {AppContext.BaseDirectory}.");
    }

    private static string? Git(params string[] arguments)
    {
        using Process process = Process.Start(
            new ProcessStartInfo("git", arguments) { WorkingDirectory = Root, RedirectStandardOutput = true, RedirectStandardError = true })!;
        string output = process.StandardOutput.ReadToEnd().Trim();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : null;
    }
}

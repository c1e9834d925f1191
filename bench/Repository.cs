using System.ComponentModel;
using System.Diagnostics;

namespace LlamaServe.Bench;

/// <summary>The checkout that this program was built from.</summary>
internal static class Repository
{
    private static readonly string? Found = FindRoot();

    /// <summary>Its root folder: the nearest one above the program with the solution in it.</summary>
    /// <exception cref="InvalidOperationException">There is none: the program was copied elsewhere.</exception>
    public static string Root => Found ?? throw new InvalidOperationException($"LlamaServe.sln is in no folder above {AppContext.BaseDirectory}.");

    /// <summary>The commit's id; marked where files differ from it, null outside of a checkout or without git.</summary>
    public static string? Commit => Found is null ? null : Git("describe", "--always", "--dirty", "--abbrev=40", "--match=");

    private static string? FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "LlamaServe.sln")))
            {
                return folder.FullName;
            }
        }

        return null;
    }

    private static string? Git(params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(
                new ProcessStartInfo("git", arguments) { WorkingDirectory = Root, RedirectStandardOutput = true, RedirectStandardError = true })!;
            string output = process.StandardOutput.ReadToEnd().Trim();
            process.WaitForExit();
            return process.ExitCode == 0 ? output : null;
        }
        catch (Win32Exception)
        {
            // There is no git.
            return null;
        }
    }
}

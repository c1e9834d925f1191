using System.Diagnostics;

namespace LlamaServe.Bench.Gpu;

/// <summary>Runs the tests that are for the device, out of their own programs.</summary>
internal static class TestRun
{
    private static readonly string[] Totals = ["total:", "failed:", "succeeded:", "skipped:", "duration:"];

    private static readonly string[] Programs = ["LlamaServe.Kernels.Tests", "LlamaServe.Models.Tests"];

    /// <summary>Whether all tests passed; their output is in the folder of the results.</summary>
    /// <param name="patience">How long a program may take; a kernel that hangs must not cost the measurements.</param>
    public static bool Run(GpuOptions options, TimeSpan patience)
    {
        bool passed = true;
        foreach (string program in Programs)
        {
            passed &= Run(options, program, patience);
        }
        return passed;
    }

    private static bool Run(GpuOptions options, string program, TimeSpan patience)
    {
        if (Find(program) is not { } path)
        {
            Console.WriteLine($"CORRECTNESS IS NOT CHECKED: {program} is not beside this program ('build.ps1 gpu' and 'bench pack' bring it).");
            return false;
        }
        string category = options.IsEmulated ? "CudaEmulated" : "Gpu";
        ProcessStartInfo start = new(path, ["--filter", $"TestCategory={category}", "--no-ansi", "--no-progress"])
        {
            RedirectStandardOutput = true,
        };
        // On this device nothing may be skipped.
        start.Environment["LLAMASERVE_REQUIRED_TOOLS"] = options.IsEmulated ? "g++" : "gpu";
        using Process process = Process.Start(start)!;
        Task<string> reading = process.StandardOutput.ReadToEndAsync();
        if (!process.WaitForExit(patience))
        {
            process.Kill(entireProcessTree: true);
            Console.WriteLine($"{program} TOOK LONGER THAN {patience.TotalSeconds:F0} s AND WAS STOPPED.");
        }
        string output = reading.GetAwaiter().GetResult();
        process.WaitForExit();
        File.WriteAllText(Path.Combine(options.Output, $"{program}.txt"), output);
        bool passed = process.ExitCode == 0 && output.Split('\n').Any(line => line.Trim() == "skipped: 0");
        Report(program, output, passed, process.ExitCode);
        return passed;
    }

    private static void Report(string program, string output, bool passed, int exitCode)
    {
        string[] lines = output.Split('\n');
        string totals = string.Join(", ", lines.Select(line => line.Trim())
            .Where(line => Totals.Any(name => line.StartsWith(name, StringComparison.Ordinal))));
        Console.WriteLine($"{program}: {(passed ? "passed" : $"FAILED or skipped (exit code {exitCode})")}: {totals}");
        foreach (string line in lines.Where(line => line.StartsWith("failed ", StringComparison.Ordinal)).Take(20))
        {
            Console.WriteLine($"  {line}");
        }
    }

    /// <summary>Beside this program, as packed, or in the build's output.</summary>
    private static string? Find(string program)
    {
        string name = OperatingSystem.IsWindows() ? program + ".exe" : program;
        string folder = Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory);
        string[] candidates =
        [
            Path.Combine(folder, name),
            Path.GetFullPath(Path.Combine(folder, "..", "..", program, Path.GetFileName(folder), name)),
        ];
        return Array.Find(candidates, File.Exists);
    }
}

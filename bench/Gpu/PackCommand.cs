using System.CommandLine;
using System.Diagnostics;
using System.Formats.Tar;
using System.IO.Compression;
using LlamaServe.Bench.Cuda;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary><c>pack</c>: everything that <c>gpu</c> needs, for a machine with a GPU and neither .NET nor a network.</summary>
internal static class PackCommand
{
    private const string Runtime = "linux-x64", Archive = "llamaserve-gpu.tar.gz", Script = "run-gpu.sh";

    private static readonly string[] Projects = ["bench", "tests/Kernels.Tests", "tests/Models.Tests"];

    /// <summary>What neither <c>gpu</c> nor the tests on a GPU load: LibTorch, web pages, profilers, debuggers, symbols; and the model, which a checkout has.</summary>
    private static readonly string[] LeftOut =
    [
        "libtorch*", "libLibTorchSharp*", "libc10*", "libshm*", "cpu", "models",
        "BenchmarkDotNet*", "Microsoft.CodeAnalysis*", "Microsoft.Diagnostics.*", "libcapstone*", "Gee.External*", "Perfolizer*", "amd64", "x86", "arm64",
        "Microsoft.AspNetCore.Mvc*", "Microsoft.AspNetCore.Components*", "Microsoft.AspNetCore.Razor*", "Microsoft.AspNetCore.SignalR*",
        "Microsoft.AspNetCore.Identity*", "Microsoft.VisualBasic*", "SkiaSharp*", "libSkiaSharp*", "*HarfBuzzSharp*", "System.Private.DataContractSerialization*",
        "libmscordaccore*", "libmscordbi*", "libcoreclrtraceptprovider*", "createdump", "*.pdb", "*.xml",
    ];

    public static Command Create()
    {
        Argument<DirectoryInfo> folder = new("folder") { Description = "Receives the archive and the script that runs it." };
        Option<bool> model = new("--with-model") { Description = "Bring the bundled model too: for a machine without a checkout." };
        Command command = new("pack", $"Publish bench and tests with the .NET runtime ({Runtime}) for a GPU machine.") { folder, model };
        command.SetAction(parsed => Pack(parsed.GetRequiredValue(folder).FullName, parsed.GetValue(model)));
        return command;
    }

    private static void Pack(string folder, bool withModel)
    {
        string app = Path.Combine(folder, "app");
        if (Directory.Exists(app))
        {
            Directory.Delete(app, recursive: true);
        }
        foreach (string project in Projects)
        {
            Publish(project, app);
        }
        foreach (string pattern in LeftOut.Where(pattern => !withModel || pattern != "models"))
        {
            Remove(app, pattern);
        }
        if (withModel)
        {
            // What tests know a checkout by.
            File.Copy(Path.Combine(Repository.Root, "LlamaServe.sln"), Path.Combine(app, "LlamaServe.sln"));
        }
        File.WriteAllText(Path.Combine(app, ResultFile.CommitFile), Repository.Commit);
        Compile(Path.Combine(app, "cubins"));
        string archive = Path.Combine(folder, Archive);
        using (GZipStream compressed = new(File.Create(archive), CompressionLevel.SmallestSize))
        {
            TarFile.CreateFromDirectory(app, compressed, includeBaseDirectory: true);
        }
        Directory.Delete(app, recursive: true);
        File.Copy(Path.Combine(AppContext.BaseDirectory, Script), Path.Combine(folder, Script), overwrite: true);
        Console.WriteLine($"{archive}: {new FileInfo(archive).Length >> 20} MiB. There: {Script} [options of 'gpu']");
    }

    private static void Publish(string project, string app)
    {
        Console.WriteLine($"publishing {project}");
        using Process process = Process.Start(new ProcessStartInfo(
            "dotnet", ["publish", project, "-c", "Release", "-r", Runtime, "--self-contained", "-o", app, "--nologo", "-v", "q"])
        {
            WorkingDirectory = Repository.Root,
        })!;
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"dotnet publish {project} failed.");
        }
    }

    private static void Remove(string app, string pattern)
    {
        foreach (string folder in Directory.GetDirectories(app, pattern))
        {
            Directory.Delete(folder, recursive: true);
        }
        foreach (string file in Directory.GetFiles(app, pattern))
        {
            File.Delete(file);
        }
    }

    /// <summary>Hopper's images; the other machine may compile them itself.</summary>
    private static void Compile(string cubins)
    {
        try
        {
            CubinsCommand.Compile(new NvrtcCompiler(NvrtcApi.Load()), GpuLimits.Sources, [GpuArchitecture.Sm90a], cubins);
        }
        catch (CudaUnavailableException exception)
        {
            Console.WriteLine($"NO KERNEL IS COMPILED AHEAD OF TIME: {exception.Message} The machine with the GPU has to have NVRTC.");
        }
    }
}

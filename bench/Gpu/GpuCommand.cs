using System.CommandLine;

namespace LlamaServe.Bench.Gpu;

/// <summary><c>gpu</c>: tests and measures everything on one GPU, in one run.</summary>
internal static class GpuCommand
{
    public static Command Create()
    {
        Option<string> device = new("--device") { Description = "cuda, cuda:N, or cuda-emulated.", DefaultValueFactory = _ => "cuda" };
        Option<bool> tiny = new("--tiny") { Description = "Shrunken shapes, one repetition: proves the script, measures nothing." };
        Option<DirectoryInfo> output = new("--output")
        {
            Description = "Folder for results and logs.",
            DefaultValueFactory = _ => new DirectoryInfo(Environment.CurrentDirectory),
        };
        Option<GpuStage[]> stages = new("--stages")
        {
            Description = "What to do.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => Enum.GetValues<GpuStage>(),
        };
        Option<double> minutes = new("--minutes") { Description = "After this long no further row is begun.", DefaultValueFactory = _ => 9 };
        Option<double> window = new("--window") { Description = "Seconds of steady serving that throughput is measured over.", DefaultValueFactory = _ => 12 };
        Option<string> python = new("--python") { Description = "Python with PyTorch, for the peers.", DefaultValueFactory = _ => "python3" };
        Option<string?> worker = new("--worker") { Description = "The journal of a run that this process measures for.", Hidden = true };
        Command command = new("gpu", "Check every kernel on a GPU, and measure it beside its floor and its peer.")
        {
            device, tiny, output, stages, minutes, window, python, worker,
        };
        command.SetAction(async parsed =>
        {
            GpuOptions options = new()
            {
                Device = parsed.GetRequiredValue(device),
                Tiny = parsed.GetValue(tiny),
                Output = parsed.GetRequiredValue(output).FullName,
                Stages = parsed.GetRequiredValue(stages).ToHashSet(),
                TimeLimit = TimeSpan.FromMinutes(parsed.GetValue(minutes)),
                Window = TimeSpan.FromSeconds(parsed.GetValue(window)),
                Python = parsed.GetRequiredValue(python),
                Journal = parsed.GetValue(worker),
            };
            return options.Journal is { } journal ? await new GpuWorker(options, new GpuJournal(journal)).RunAsync() : new GpuRun(options).Run() ? 0 : 1;
        });
        return command;
    }
}

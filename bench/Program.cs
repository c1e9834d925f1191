using System.CommandLine;
using LlamaServe.Bench.Cost;
using LlamaServe.Bench.Cuda;
using LlamaServe.Bench.Frontend;
using LlamaServe.Bench.Gate;
using LlamaServe.Bench.Generator;
using LlamaServe.Bench.Gpu;
using LlamaServe.Bench.Load;
using LlamaServe.Bench.Machine;
using LlamaServe.Bench.Micro;
using LlamaServe.Bench.Models;
using LlamaServe.Bench.Offline;
using LlamaServe.Bench.Operations;
using LlamaServe.Bench.Peers;
using LlamaServe.Bench.Report;
using LlamaServe.Bench.Serving;
using LlamaServe.Bench.Simulation;
using LlamaServe.Bench.Training;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Models.Weights;
using CommandException = LlamaServe.Server.Commands.CommandException;

RootCommand root = new("LlamaServe's measurements and the training of its bundled model.")
{
    AgreeCommand.Create(),
    CostCommand.Create(),
    CubinsCommand.Create(),
    FrontendCommand.Create(),
    GateCommand.Create(),
    GeneratorCommand.Create(),
    GpuCommand.Create(),
    KernelsCommand.Create(),
    KernelTableCommand.Create(),
    LatencyCommand.Create(),
    MachineCommand.Create(),
    MakeModelCommand.Create(),
    MemoryCommand.Create(),
    MicroCommand.Create(),
    OfflineCommand.Create(),
    PackCommand.Create(),
    PeersCommand.Create(),
    ReportCommand.Create(),
    ReturningCommand.Create(),
    ServeCommand.Create(),
    SimulateCommand.Create(),
    StartCommand.Create(),
    SweepCommand.Create(),
    TrainCommand.Create(),
};

try
{
    return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (Exception exception) when (exception is ArgumentException or InvalidOperationException or IOException or DeviceUnavailableException or CompileException or CheckpointException or CommandException)
{
    await Console.Error.WriteLineAsync(exception.Message);
    return 1;
}
catch (OperationCanceledException)
{
    return 130;
}

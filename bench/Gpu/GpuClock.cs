using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary>
/// Times work on a device: calls are captured into a graph, so that neither the host nor the gaps between its launches count, and
/// replays of it are timed by events.
/// </summary>
/// <param name="isQuick">One replay of as few calls as there can be.</param>
internal sealed class GpuClock(CudaContext context, CudaStream stream, bool isQuick) : IDisposable
{
    /// <summary>What a replay should take, so that starting it does not count.</summary>
    private const double ReplaySeconds = 3e-3;

    private const int Replays = 7, MostCalls = 1024;

    private readonly CudaEvent _begin = new(context, timing: true), _end = new(context, timing: true);

    public GpuClock(CudaRuntime runtime, bool isQuick)
        : this(runtime.Context, runtime.Stream, isQuick)
    {
    }

    /// <summary>Bytes that one pass over the inputs has to touch, so that no cache holds them until the next.</summary>
    public long RotationBytes => isQuick ? 0 : 4L * context.Device.L2Bytes;

    /// <summary>Copies of inputs of such a size that are used in turn.</summary>
    public int Copies(long bytes) => (int)Math.Clamp(RotationBytes / Math.Max(1, bytes) + 1, isQuick ? 2 : 1, 256);

    /// <summary>Median seconds of a call.</summary>
    /// <param name="call">Queues work on the stream; may neither wait nor upload. Gets 0, 1, 2 …</param>
    /// <param name="variants">Inputs that the calls take in turn: a replay uses each equally often.</param>
    public double Seconds(Action<int> call, int variants)
    {
        // What is made, uploaded or reserved on first use.
        for (int i = 0; i < variants; i++)
        {
            call(i);
        }
        stream.Synchronize();
        double estimate = Time(() => Queue(call, variants)) / variants;
        int rounds = isQuick ? 1 : (int)Math.Clamp(ReplaySeconds / (estimate * variants), 1, Math.Max(1, MostCalls / variants));
        stream.BeginCapture();
        Queue(call, rounds * variants);
        using CudaGraph graph = stream.EndCapture();
        using CudaGraphExec replay = new(graph);
        replay.Launch(stream);
        double[] seconds = new double[isQuick ? 1 : Replays];
        for (int i = 0; i < seconds.Length; i++)
        {
            seconds[i] = Time(() => replay.Launch(stream)) / (rounds * variants);
        }
        Array.Sort(seconds);
        return seconds[seconds.Length / 2];
    }

    /// <summary>Median seconds of work that uploads, and so cannot be captured; so much of it that its launches do not count.</summary>
    public double QueuedSeconds(Action queue)
    {
        // What is made on first use.
        queue();
        stream.Synchronize();
        double[] seconds = new double[isQuick ? 1 : Replays];
        for (int i = 0; i < seconds.Length; i++)
        {
            seconds[i] = Time(queue);
        }
        Array.Sort(seconds);
        return seconds[seconds.Length / 2];
    }

    public void Dispose()
    {
        _begin.Dispose();
        _end.Dispose();
    }

    private static void Queue(Action<int> call, int count)
    {
        for (int i = 0; i < count; i++)
        {
            call(i);
        }
    }

    private double Time(Action queue)
    {
        _begin.Record(stream);
        queue();
        _end.Record(stream);
        _end.Synchronize();
        // An emulated device may be done within the events' resolution.
        return Math.Max(1e-9, CudaEvent.ElapsedMilliseconds(_begin, _end) * 1e-3);
    }
}

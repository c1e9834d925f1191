using System.Globalization;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>Memory accesses of a launch at one place in a kernel's source, as the emulator counted them.</summary>
/// <param name="Place">"shared read at kernel.cu:12".</param>
/// <param name="Requests">Of warps.</param>
/// <param name="Units">Wavefronts of shared memory, 32-byte sectors of global memory.</param>
/// <param name="IdealUnits">What the same lanes and bytes need at least.</param>
internal sealed record PlaceAccesses(string Place, long Requests, long Units, long IdealUnits)
{
    public bool IsShared => Place.StartsWith("shared ", StringComparison.Ordinal);

    public static IReadOnlyList<PlaceAccesses> Parse(string report) =>
    [
        .. report.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split('\t')).Select(cells => new PlaceAccesses(
            cells[0], Number(cells[1]), Number(cells[2]), Number(cells[3]))),
    ];

    private static long Number(string cell) => long.Parse(cell, CultureInfo.InvariantCulture);
}

using LlamaServe.Bench.Machine;
using LlamaServe.Bench.Models;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Peers;

/// <summary>Prints comparisons as a Markdown table.</summary>
internal static class PeerTable
{
    public static void Print(TextWriter output, LlamaShape shape, MachineLimits limits, IEnumerable<PeerComparison> comparisons)
    {
        output.WriteLine("| format | tokens/s | peer | peer's | LlamaServe | ratio | of the machine's limit |");
        output.WriteLine("|---|---|---|--:|--:|--:|--:|");
        foreach (PeerComparison comparison in comparisons)
        {
            PeerMeasures peer = comparison.PeerMedian, ours = comparison.OurMedian;
            double bytesPerToken = comparison.Format.Bytes(shape.LayerMultiplyAdds + shape.OutputMultiplyAdds);
            double? int8Seconds = shape.LayerMultiplyAdds / limits.Int8MultiplyAddsPerSecond;
            Row("one sequence, decode", peer.Decode, ours.Decode, ours.Decode * bytesPerToken / limits.ReadBytesPerSecond, "read bandwidth");
            Row("8 sequences, decode", peer.Together, ours.Together, null, "");
            if (peer.Lockstep is not null)
            {
                Row("8 sequences, peer in lockstep", peer.Lockstep, ours.Together, null, "");
            }

            Row("prefill, 128 tokens", peer.Prefill, ours.Prefill, ours.Prefill * int8Seconds, "int8 peak");
            Row("prefill, 512 tokens", peer.LongPrefill, ours.LongPrefill, ours.LongPrefill * int8Seconds, "int8 peak");

            void Row(string measure, double? other, double own, double? fraction, string limit) =>
                output.WriteLine($"| {comparison.Format} | {measure} | {comparison.Peer} | {other:F1} | {own:F1} | {own / other:F2} | {fraction:P0} {limit} |");
        }
    }
}

using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tests;

/// <summary>Damages files in seeded random ways and demands that reading them works or throws <see cref="CheckpointException"/>.</summary>
internal static class CheckpointFuzzing
{
    private static readonly ulong[] Hostile = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, ulong.MaxValue];

    private static readonly string[] HostileText =
        ["0", "-1", "1", "255", "4096", "2147483647", "2147483648", "9223372036854775807", "1e308", "0.5", "null", "true", "[]", "{}", "\"\"", "\"a\"", "\"\\ud800\"", "\"../x\"", ",", ":", "[[[[[[[["];

    /// <param name="read">Reads the file and uses what it got.</param>
    /// <param name="maxBytes">The most that one reading may allocate.</param>
    public static void Run(byte[] whole, int rounds, bool text, long maxBytes, Action<byte[]> read)
    {
        Assert.That(() => read(whole), Throws.Nothing, "the file is good before it is damaged");
        Random random = new(whole.Length + rounds);
        int refused = 0;
        TimeSpan started = Environment.CpuUsage.TotalTime;
        for (int round = 0; round < rounds; round++)
        {
            byte[] damaged = Damage(random, whole, text);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                read(damaged);
            }
            catch (CheckpointException)
            {
                refused++;
            }
            catch (Exception e)
            {
                Assert.Fail($"round {round}: {e}");
            }
            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(maxBytes), $"memory of round {round}");
        }
        Assert.That(refused, Is.GreaterThan(rounds / 10), "most damage is noticed");
        // A round takes less than a hundredth of it, unless a file makes its reader loop over sizes that it lies about.
        Assert.That((Environment.CpuUsage.TotalTime - started) / rounds, Is.LessThan(TimeSpan.FromMilliseconds(100)), "processor time of a round");
    }

    private static byte[] Damage(Random random, byte[] whole, bool text)
    {
        List<byte> bytes = [.. whole];
        for (int count = random.Next(1, 4); count > 0 && bytes.Count > 16; count--)
        {
            int at = random.Next(bytes.Count);
            switch (random.Next(5))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    bytes.RemoveRange(at, random.Next(3) == 0 ? bytes.Count - at : Math.Min(random.Next(1, 9), bytes.Count - at));
                    break;
                case 3 when text:
                    bytes.RemoveRange(at, Math.Min(random.Next(6), bytes.Count - at));
                    bytes.InsertRange(at, System.Text.Encoding.UTF8.GetBytes(HostileText[random.Next(HostileText.Length)]));
                    break;
                case 3:
                    byte[] value = BitConverter.GetBytes(Hostile[random.Next(Hostile.Length)]);
                    int length = Math.Min(random.Next(2) == 0 ? 4 : 8, bytes.Count - at);
                    bytes.RemoveRange(at, length);
                    bytes.InsertRange(at, value[..length]);
                    break;
                default:
                    int from = random.Next(bytes.Count);
                    bytes.InsertRange(at, bytes.GetRange(from, Math.Min(random.Next(1, 40), bytes.Count - from)));
                    break;
            }
        }
        return [.. bytes];
    }
}

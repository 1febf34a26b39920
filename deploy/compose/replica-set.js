// Run by mongosh: makes mongo1, mongo2 and mongo3 one replica set if they are none, and waits until one of them leads.
const members = ["mongo1", "mongo2", "mongo3"].map((host, number) => ({ _id: number, host: `${host}:27017` }));
try {
  rs.status();
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  rs.initiate({ _id: "scfm", members });
}
while (!rs.status().members.some((member) => member.stateStr === "PRIMARY")) sleep(500);
